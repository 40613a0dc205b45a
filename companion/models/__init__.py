"""All records; importing this module makes the whole schema known."""

from companion.models.accounts import Attempt, OneTimeCode, SignIn
from companion.models.audit import AuditEvent, DemoClock, Heartbeat
from companion.models.base import Base
from companion.models.care import (
    Answer,
    CheckIn,
    Measure,
    MeasureStatus,
    PatientUnit,
    Plan,
    PlanEvent,
    Stay,
)
from companion.models.drafts import Draft
from companion.models.duty import Duty, Told, WorkDevice
from companion.models.flags import Flag, FlagEvent
from companion.models.grants import Grant
from companion.models.integrations import HandedIn, Integration, IntegrationWard
from companion.models.meetings import CalendarFeed, Meeting, MeetingEvent, Participant
from companion.models.messages import Circuit, LinkToken, Message
from companion.models.passport import CareContact, PassportConfirmation, PassportLine
from companion.models.people import Membership, Patient, Professional, Relative
from companion.models.places import Municipality, Unit

__all__ = [
    "Answer",
    "Attempt",
    "AuditEvent",
    "Base",
    "CalendarFeed",
    "CareContact",
    "CheckIn",
    "Circuit",
    "DemoClock",
    "Draft",
    "Duty",
    "Flag",
    "FlagEvent",
    "Grant",
    "HandedIn",
    "Heartbeat",
    "Integration",
    "IntegrationWard",
    "LinkToken",
    "Measure",
    "MeasureStatus",
    "Meeting",
    "MeetingEvent",
    "Membership",
    "Message",
    "Municipality",
    "OneTimeCode",
    "Participant",
    "PassportConfirmation",
    "PassportLine",
    "Patient",
    "PatientUnit",
    "Plan",
    "PlanEvent",
    "Professional",
    "Relative",
    "SignIn",
    "Stay",
    "Told",
    "Unit",
    "WorkDevice",
]
