"""Run :mod:`learn.data.sample.shop`."""

from learn.data.sample.shop import main

if __name__ == "__main__":
    main()
