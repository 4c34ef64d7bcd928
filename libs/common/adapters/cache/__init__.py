"""The caches behind `libs.common.caching.Cache`."""
