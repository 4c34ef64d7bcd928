"""How often somebody may call: by API key, by address, and how often a log-in may fail. The counts are shared by all
processes, and asked for in blocks, so that the hot path seldom pays a round trip."""
