"""Watch the crowd's market in a browser, step it, and begin storms in it by a click.

    wavetank crowd                                   # http://localhost:8765, until Ctrl-C
    wavetank crowd --scenario flash_crash --seed 7 --role judge

Needs the extra: pip install 'wavetank[viz]'. Nothing leaves this machine; who opens the page is not asked for a name,
so keep it on this machine's own address.
"""

import argparse
import errno
import os
import socket

HOST, PORT = "localhost", 8765
# Solara reports to nobody; its check of hooks complains of a line of Mesa's own.
QUIET = {"SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false", "SOLARA_CHECK_HOOKS": "off"}


def main() -> int:
    """Serve the page until interrupted."""
    options = _parser().parse_args()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from ..experiments.crowd_page import Opening, serve  # heavy: solara, mesa
    from ..simulators.scenarios import load_scenario

    load_scenario(options.scenario, options.interval)
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed} is negative")
    _check_free(options.host, options.port)
    opening = Opening(options.scenario, options.seed, options.role, options.interval)
    serve(opening, options.host, options.port, open_browser=options.open)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wavetank crowd", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scenario", default="normal", metavar="NAME|FILE.yaml", help="of the first market (normal)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first market (1)")
    parser.add_argument("--role", choices=("train", "judge"), default="train", help="ranges that storms are drawn from")
    parser.add_argument("--interval", choices=("1m", "1h"), default="1m", help="what a bar is")
    parser.add_argument("--host", default=HOST, help=f"address to serve at ({HOST})")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to serve at ({PORT})")
    parser.add_argument("--open", action="store_true", help="open the page in the desktop's browser")
    return parser


def _check_free(host: str, port: int) -> None:
    """Refuse a port that somebody holds, before anything heavy is served from it."""
    if not 1 <= port <= 65_535:
        raise ValueError(f"--port {port} is no port, there are 1 … 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise ValueError(f"--port {port} at {host} cannot be had: {error.strerror}") from error
            raise


if __name__ == "__main__":
    main()
