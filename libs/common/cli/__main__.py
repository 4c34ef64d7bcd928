"""`python -m libs.common.cli` is `sigmora`."""

from libs.common.cli.app import main

main()
