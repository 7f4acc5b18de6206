"""Rules of the expenses policy as code; the claims tool imports them."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

RECEIPT_ABOVE = Decimal(25)
HAND_IN_DAYS = 30
RATE_PER_KM = Decimal("0.30")
APPROVERS = (
    (Decimal(200), "team lead"),
    (Decimal(2_000), "head of department"),
)


@dataclass(frozen=True)
class Claim:
    """One purchase that somebody wants back."""

    employee: str
    purpose: str
    amount: Decimal
    bought_on: date
    has_receipt: bool


def approver_for(amount: Decimal) -> str:
    """Role that must approve a claim of this amount in EUR."""
    for limit, role in APPROVERS:
        if amount <= limit:
            return role
    return "finance director"


def needs_receipt(amount: Decimal) -> bool:
    return amount > RECEIPT_ABOVE


def mileage_allowance(kilometres: int) -> Decimal:
    """What a trip in one's own car pays, in EUR."""
    return kilometres * RATE_PER_KM


def problems_of(claim: Claim, today: date) -> list[str]:
    """Why a claim cannot be paid as it is; empty when it can."""
    found = []
    if today - claim.bought_on > timedelta(days=HAND_IN_DAYS):
        found.append(f"handed in later than {HAND_IN_DAYS} days after the purchase")
    if needs_receipt(claim.amount) and not claim.has_receipt:
        found.append(f"no receipt for more than {RECEIPT_ABOVE} EUR")
    if not claim.purpose.strip():
        found.append("no purpose given")
    return found


def payout_date(approved_on: date) -> date:
    """The next payment run: the 15th or the last working day of the month."""
    if approved_on.day <= 15:
        return approved_on.replace(day=15)
    first_of_next = (approved_on.replace(day=28) + timedelta(days=4)).replace(day=1)
    last = first_of_next - timedelta(days=1)
    while last.weekday() >= 5:
        last -= timedelta(days=1)
    return last if last >= approved_on else first_of_next.replace(day=15)
