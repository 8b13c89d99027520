"""Is today's data still what the towers were trained on?"""
