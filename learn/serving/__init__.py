"""The bundle, its registry and the served user tower.

Nothing here is imported until it is asked for; the entry points are:

- ``learn.serving.bundle``: ``Manifest``, ``Bundle``, ``write_bundle``, ``read_bundle``
- ``learn.serving.registry``: ``store_bundle``, ``load_stored``, ``list_stored``, ``find_stored``
- ``learn.serving.promotion``: ``promote``, ``promote_challenger``, ``roll_back``, ``withdraw``
- ``learn.serving.served_models``: ``Deployment``, which swaps the champion while it serves
- ``learn.serving.traffic_log``: ``TrafficLog``
- ``learn.serving.export``: ``export``
- ``learn.serving.recommender``: ``Recommender``
- ``learn.serving.filters``: ``Filters``, ``Selection``, ``ValueCap``; ``learn.serving.columns``: ``AnyOf``, ``Between``
- ``learn.serving.live_items``: ``LiveItems``, items that change while a service runs
- ``learn.serving.traffic_sink``: ``TrafficSink``, where answers and feedback go
- ``learn.serving.package``: ``build_bento``, ``serve_command``
- ``learn.serving.parity``: ``offline_top_k``, ``check_parity``
- ``learn.serving.service``: the BentoML service itself
"""
