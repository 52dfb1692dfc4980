# A login shell sets PATH anew: this puts back the image's own, as `docker exec` has it.
case ":$PATH:" in
    *:/opt/hermes/bin:*) ;;
    *) PATH="/opt/hermes/bin:/opt/hermes/.venv/bin:$PATH:${HERMES_HOME:-/opt/data}/.local/bin" ;;
esac
export PATH
