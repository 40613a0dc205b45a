"""A letter as e-mail: one sentence, which is the subject too, and where to look."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from companion.clock import SystemClock
from notifications.channels import Parcel


def letter(parcel: Parcel, sender: str) -> bytes:
    """The whole mail. A second try has the same Message-ID, so that whoever gets both sees one."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, parcel.address
    mail["Subject"] = parcel.body.splitlines()[0]
    mail["Date"] = format_datetime(SystemClock().now())
    mail["Message-ID"] = f"<{parcel.topic}@{sender.rpartition('@')[2].rstrip('>')}>"
    # No answer to us from an out-of-office machine (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(parcel.body)
    return mail.as_bytes()
