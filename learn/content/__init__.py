"""CEX: what a frozen LLM reads of each item, once, and where its vectors are kept."""
