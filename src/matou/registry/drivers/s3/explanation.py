"""Why S3 refuses a request, and what an administrator does about it.

Source: Amazon S3 API reference, "Error responses"; S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matou.config.sections.s3 import S3Parameters

FORBIDDEN = 403
BAD_REQUEST = 400
# Operation -> what a policy has to allow, and whether it is about the objects of the bucket or about the bucket.
PERMISSIONS = {
    "HeadObject": ("s3:GetObject", True),
    "GetObject": ("s3:GetObject", True),
    "PutObject": ("s3:PutObject", True),
    "CopyObject": ("s3:GetObject and s3:PutObject", True),
    "CreateMultipartUpload": ("s3:PutObject", True),
    "UploadPart": ("s3:PutObject", True),
    "UploadPartCopy": ("s3:GetObject and s3:PutObject", True),
    "CompleteMultipartUpload": ("s3:PutObject", True),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", True),
    "ListParts": ("s3:ListMultipartUploadParts", True),
    "DeleteObject": ("s3:DeleteObject", True),
    "DeleteObjects": ("s3:DeleteObject", True),
    "ListObjectsV2": ("s3:ListBucket", False),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads", False),
}
EXPIRED = "the temporary key has expired; renew storage.s3.sessiontoken with its key, or let the machine have a role"
WRONG_REGION = "the bucket lies in another region; set storage.s3.region to the bucket's"
FIXES = {
    "InvalidAccessKeyId": (
        "the service does not know this key; check storage.s3.accesskey (AWS_ACCESS_KEY_ID where it is not given)"
    ),
    "SignatureDoesNotMatch": (
        "the secret does not belong to the key; check storage.s3.secretkey (AWS_SECRET_ACCESS_KEY where it is not "
        "given), and that no proxy before the service changes Host or the path"
    ),
    "ExpiredToken": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "InvalidToken": "the token does not belong to the key; check storage.s3.sessiontoken",
    "AuthorizationHeaderMalformed": WRONG_REGION,
    "PermanentRedirect": WRONG_REGION,
    "TemporaryRedirect": WRONG_REGION,
    "IllegalLocationConstraintException": WRONG_REGION,
    "InvalidRegion": WRONG_REGION,
    "301": WRONG_REGION,
    "InvalidBucketName": "no bucket can have the name that storage.s3.bucket has",
    "AccountProblem": "something is wrong with the account; ask the provider",
    "NotSignedUp": "the account is not signed up for the service; ask the provider",
    "AllAccessDisabled": "all access to the bucket is switched off; ask the provider",
    "SecondLevelDomainForbidden": "the service wants the bucket in the host name; set storage.s3.forcepathstyle: false",
    "InvalidStorageClass": "the service does not have the class that storage.s3.storageclass names; NONE sends none",
    "AccessControlListNotSupported": "the bucket takes no access lists; set storage.s3.objectownership: true",
    "InvalidObjectState": "the object is archived; restore it, and let no rule archive the objects of a registry",
    "NotImplemented": "the service lacks something that storage.s3 asks for, such as encryption or a storage class",
    "MethodNotAllowed": "the service does not do this; check that storage.s3.regionendpoint is its S3 endpoint",
}


ROLES = "AssumeRole"  # begins the operations of Amazon's token service
# Whatever is asked for is answered so.
ALWAYS = frozenset(FIXES) - {
    "InvalidStorageClass",
    "AccessControlListNotSupported",
    "InvalidObjectState",
    "NotImplemented",
    "MethodNotAllowed",
} | {"NoSuchBucket", "RequestTimeTooSkewed"}


def explanation(
    parameters: S3Parameters,
    *,
    operation: str,
    code: str,
    status: int,
    text: str,
    region: str,
    location: str,
    skew: float | None,
) -> str:
    """Return cause and fix of an answer, "" where there is nothing to add to it.

    Args:
        parameters: of the driver.
        operation: of S3.
        code: of the error; of HEAD, which has no body, the status.
        status: of HTTP.
        text: of the error.
        region: that the bucket lies in, where the service says so.
        location: scheme, host and port that the service sends the request on to, or "".
        skew: seconds by which this machine is ahead of the service, if that is known.
    """
    bucket = parameters.bucket
    why = FIXES.get(code, "")
    if operation.startswith(ROLES):
        why = (
            "Amazon gives no key for the role; check AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or role_arn of the "
            "profile, and the trust policy of the role"
        )
    elif region and region != parameters.region:
        why = f"the bucket {bucket} lies in {region}; set storage.s3.region: {region}"
    elif location and code.isdecimal():  # not of S3, but of a web server in front of it
        why = f"the answer is to look at {location}; set storage.s3.regionendpoint to where the service is"
    elif code == "RequestTimeTooSkewed":
        why = f"the clock of this machine {_wrong_by(skew)}; have it set by NTP (chronyd, systemd-timesyncd)"
    elif code == "NoSuchBucket":
        why = (
            f"there is no bucket {bucket}; create it, or correct storage.s3.bucket, storage.s3.region and "
            "storage.s3.regionendpoint"
        )
    elif code.startswith("KMS.") or (status == FORBIDDEN and "kms:" in text):
        why = (
            f"the key of the encryption cannot be used; check storage.s3.keyid ({parameters.keyid or 'not given'}), "
            "that it is enabled, and that its policy allows kms:GenerateDataKey and kms:Decrypt"
        )
    elif not why and status == FORBIDDEN:
        why = _forbidden(parameters, operation)
    elif not why and operation == "HeadObject" and status == BAD_REQUEST:
        why = "a HEAD gets no reason; storage.s3.region may not be the bucket's, or the key may have expired"
    return why


def _forbidden(parameters: S3Parameters, operation: str) -> str:
    permission, of_objects = PERMISSIONS.get(operation, (f"s3:{operation}", True))
    root = parameters.rootdirectory.strip("/")
    resource = f"arn:aws:s3:::{parameters.bucket}"
    if of_objects:
        resource += f"/{root}/*" if root else "/*"
    rest = ", and look for a policy of the bucket, or a proxy, that denies it"
    if operation == "HeadObject":
        # HEAD is refused where the object is missing and the bucket may not be listed.
        rest = f" and s3:ListBucket on arn:aws:s3:::{parameters.bucket}{rest} to HEAD alone"
    return f"the key may not do this; allow {permission} on {resource}{rest}"


def _wrong_by(skew: float | None) -> str:
    if skew is None:
        return "is too far from the service's"
    return f"is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
