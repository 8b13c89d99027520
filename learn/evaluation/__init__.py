"""Full ranking, baselines, slices and the intervals around every figure."""
