"""The ``s3`` driver: Amazon S3 and services that are compatible with it.

Keys are those of Distribution's driver. aiobotocore finds credentials and endpoints, signs and parses; repeating and
limiting requests is ours.

Source: Amazon S3 API reference, 2006-03-01.
"""
