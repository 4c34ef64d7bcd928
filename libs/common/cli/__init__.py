"""`sigmora`, the command line for people who run the platform: one file a command."""
