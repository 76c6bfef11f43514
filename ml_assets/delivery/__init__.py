"""The platform's own images, from the registry through staging to production.

A release is the images that one commit made. It is deployed with the same graph, ledger
and notifications as a version of a model. docs/delivery.md describes it.
"""
