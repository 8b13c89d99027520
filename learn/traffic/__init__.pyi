from .reader import TrafficRead, is_traffic_log, read_traffic
from .records import FILE_PATTERN, AnswerRecord, Arm, Event, Fallback, FeedbackRecord
from .writer import NoTraffic, TrafficLog, TrafficSink

__all__ = [
    "FILE_PATTERN",
    "AnswerRecord",
    "Arm",
    "Event",
    "Fallback",
    "FeedbackRecord",
    "NoTraffic",
    "TrafficLog",
    "TrafficRead",
    "TrafficSink",
    "is_traffic_log",
    "read_traffic",
]
