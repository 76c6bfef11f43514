"""The platform's own images, on their way from the registry to production.

The same graph, ledger and notifications that deploy a version of a model deploy a
release here: the images that one commit made. docs/delivery.md tells the way.
"""
