"""A stand-in for Alibaba Cloud OSS, of which no server can be had: OSS's protocol in front of SeaweedFS.

The front verifies signatures, speaks OSS's XML and headers, has OSS's limits, and keeps multipart uploads; the objects
lie in SeaweedFS. It is written from OSS's API reference, and was never compared with the real service.
"""
