"""Alibaba Cloud OSS: an object store over the asyncio client of Alibaba's SDK for Python."""
