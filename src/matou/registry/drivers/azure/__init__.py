"""The ``azure`` driver: Azure Blob Storage.

azure-storage-blob signs and parses, azure-identity finds credentials; repeating requests is ours.

Source: Azure Blob Storage REST API, https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api.
"""
