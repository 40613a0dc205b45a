"""Reads for pages: every one starts from the person asking, and each page needs at most six queries."""

from companion.worklists.desk import call_list, coming_home, meetings, menu_counts, patients, pulse, worklist
from companion.worklists.due import next_due
from companion.worklists.invited import invitations
from companion.worklists.letters import day_of, letters, people, report, units_of
from companion.worklists.patient import measures, today
from companion.worklists.patient_case import case
from companion.worklists.post import standing

__all__ = [
    "call_list",
    "case",
    "coming_home",
    "day_of",
    "invitations",
    "letters",
    "measures",
    "meetings",
    "menu_counts",
    "next_due",
    "patients",
    "people",
    "pulse",
    "report",
    "standing",
    "today",
    "units_of",
    "worklist",
]
