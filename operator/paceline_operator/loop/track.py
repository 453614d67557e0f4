"""What a process keeps of a policy between passes. All else is in objects."""

from dataclasses import dataclass, field
from datetime import datetime

from paceline_operator.core.measure.window import Window
from paceline_operator.loop.looks import Looks
from paceline_operator.loop.recall import Recalled
from paceline_operator.ports import TargetRef


@dataclass(slots=True)
class Track:
    """Of one policy; lost with the process, which costs one window."""

    reported: datetime
    target: TargetRef
    recalled: Recalled | None = None
    """Up to five minutes of what was learnt are in no object yet."""
    window: Window = field(default_factory=Window)
    looks: Looks | None = None
    healed: datetime | None = None
    """When the document was last written anew because of what pods run."""
