#!/bin/sh
# Make the peers' environments outside the repository: $PEERS_HOME/NAME/venv, one a peer, so that their requirements cannot clash.
#
#     PEERS_HOME=DIR benchmarks/install_peers.sh [NAME...]      names: backtesting backtrader zipline nautilus lumibot ordersmith-X.Y
#
# PYTHON (default: python3.11) is the interpreter of all of them but nautilus, which needs 3.12 or later and takes PYTHON_NAUTILUS
# (default: python3.12). `ordersmith-3.12` installs this checkout on python3.12, to compare nautilus on one interpreter; PYTHON_X_Y
# (PYTHON_3_12) names another one. Versions are those that the published comparison was made with.
set -eu

: "${PEERS_HOME:?a folder for the peers, outside the repository}"
repository=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}

install() { # NAME INTERPRETER REQUIREMENT...
    name=$1 interpreter=$2
    shift 2
    environment=$PEERS_HOME/$name/venv
    echo "$name: $*"
    [ -x "$environment/bin/python" ] || "$interpreter" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

[ $# -gt 0 ] || set -- backtesting backtrader zipline nautilus lumibot

for peer in "$@"; do
    case $peer in
        backtesting) install "$peer" "$python" backtesting==0.6.6 pandas pyarrow ;;
        backtrader) install "$peer" "$python" backtrader==1.9.78.123 pandas pyarrow ;;
        zipline) install "$peer" "$python" zipline-reloaded==3.2.1 pandas pyarrow ;;
        nautilus) install "$peer" "${PYTHON_NAUTILUS:-python3.12}" nautilus_trader==1.231.0 pandas pyarrow ;;
        lumibot) install "$peer" "$python" lumibot==4.6.30 pandas pyarrow ;;
        ordersmith-*)
            version=${peer#ordersmith-}
            eval "interpreter=\${PYTHON_$(echo "$version" | tr . _):-python$version}"
            install "$peer" "$interpreter" --constraint "$repository/constraints.txt" --editable "$repository[backtest]"
            ;;
        *)
            echo "unknown peer '$peer'; one of: backtesting backtrader zipline nautilus lumibot ordersmith-X.Y" >&2
            exit 2
            ;;
    esac
done
