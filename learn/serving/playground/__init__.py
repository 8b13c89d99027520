"""The playground: the service's own page, and the routes that it asks next to `recommend` and `similar_items`."""
