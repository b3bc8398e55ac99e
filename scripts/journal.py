"""Verify a journal's hash chain: every row is what was written, in its place, and none is missing.

wavetank journal verify paper.db

Exit code 1 names the first wrong row.
"""

import argparse
import sys

from ..execution.journal import JournalError, verify

BROKEN = 1


def main() -> int:
    """Do what the command line says with one journal."""
    parser = argparse.ArgumentParser(prog="wavetank journal", description="Look at a journal.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("verify", help="walk the hash chain").add_argument("journal", help="journal of a session")
    given = parser.parse_args()
    try:
        rows = verify(given.journal)
    except JournalError as error:
        if not error.row:
            raise
        print(f"wavetank journal: {error}", file=sys.stderr)
        return BROKEN
    print(f"{given.journal}: {rows} rows, the chain holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
