"""OpenStack Swift: objects in the layout of Distribution 2.8's driver ``swift``.

``identity`` gets tokens, ``connection`` sends requests and knows what the cluster can, ``naming`` has every name,
``large_objects`` makes and deletes blobs of several segments, ``sweeping`` finds segments that nobody needs,
``temporary_urls`` signs, and ``store`` is what ``ObjectDriver`` works with.

Source: the object storage API reference of OpenStack, and ``registry/storage/driver/swift`` of Distribution 2.8.
"""
