"""Templates: which are allowed, how they are rendered, and where the current version is looked up. The language is
Jinja's, cut down to what can be bounded (`language.py`). Knows neither who may write a template nor what is sent."""
