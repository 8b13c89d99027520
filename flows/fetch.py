"""Run :func:`flows.runs.main`."""

from flows.runs import main

if __name__ == "__main__":
    main()
