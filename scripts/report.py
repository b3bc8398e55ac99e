"""Write a run's results as one self-contained HTML page.

wavetank report RUN [--out FILE.html]
"""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Open the door of `wavetank report`."""
    parser = argparse.ArgumentParser(prog="wavetank report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="where the page goes (default: RUN/report.html)")
    options = parser.parse_args()
    from ..experiments.report import write_report  # 0.3 s that --help need not pay

    print(f"page      {write_report(options.run, options.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
