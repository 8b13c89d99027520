"""The playground: the service's own page, and the routes that it asks beside `recommend` and `similar_items`."""
