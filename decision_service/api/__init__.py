"""The HTTP contract `/v1`: the only package, beside the application factory and the pages, that knows Flask."""
