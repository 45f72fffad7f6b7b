"""What every test may use: pytest's own pytester, which runs small suites of requirements."""

pytest_plugins = ["pytester"]
