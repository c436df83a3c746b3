"""``storage.s3``: the examples of the guides and of Distribution's documentation, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.config.reading import errors, parse, warnings

if TYPE_CHECKING:
    from matou.config.sections.s3 import S3Parameters

HEAD = "version: 0.1\nstorage:\n"
MINIO = "regionendpoint: 'https://minio.example.com:9000'"
# GitLab's administration guide; its placeholders of a region and an endpoint replaced.
GUIDE = {
    "static_keys": """
  s3:
    accesskey: 's3-access-key'                # Not needed if IAM role used
    secretkey: 's3-secret-key-for-access-key' # Not needed if IAM role used
    bucket: 'your-s3-bucket'
    region: 'eu-central-1'
    regionendpoint: 'https://s3.example.com'
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
""",
    "role": "  s3:\n    bucket: 'your-s3-bucket'\n    region: 'cn-north-1'\n",
    "vpc_endpoint": """
  s3:
    accesskey: s3-access-key
    secretkey: s3-secret-key-for-access-key
    bucket: your-s3-bucket
    region: us-east-1
    regionendpoint: 'https://bucket.vpce-0123-abc.s3.us-east-1.vpce.amazonaws.com'
    pathstyle: false
""",
    "rate": """
  s3:
    accesskey: s3-access-key
    secretkey: s3-secret-key-for-access-key
    bucket: your-s3-bucket
    region: us-east-1
    regionendpoint: s3.example.com
    maxrequestspersecond: 100
""",
    "redirect": """
  s3:
    accesskey: 'AKIAKIAKI'
    secretkey: 'secret123'
    bucket: 'gitlab-registry-bucket-AKIAKIAKI'
    region: 'your-s3-region'
    regionendpoint: 'your-s3-regionendpoint'
  redirect:
    disable: true
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
""",
    "encrypted": """
  s3:
    accesskey: 'AKIAKIAKI'
    secretkey: 'secret123'
    bucket: 'gitlab-registry-bucket-AKIAKIAKI'
    region: 'your-s3-region'
    regionendpoint: 'your-s3-regionendpoint'
    encrypt: true
""",
    "large_images": """
  s3:
    accesskey: 'AKIAKIAKI'
    secretkey: 'secret123'
    bucket: 'gitlab-registry-bucket-AKIAKIAKI'
    region: us-west-2
    chunksize: 25000000
""",
}
# The whole of Distribution's example configuration, 2.8 and 3.
DISTRIBUTION = """
  s3:
    accesskey: awsaccesskey
    secretkey: awssecretkey
    region: us-west-1
    regionendpoint: http://myobjects.local
    forcepathstyle: true
    accelerate: false
    bucket: bucketname
    encrypt: true
    keyid: mykeyid
    secure: true
    v4auth: true
    chunksize: 5242880
    multipartcopychunksize: 33554432
    multipartcopymaxconcurrency: 100
    multipartcopythresholdsize: 33554432
    rootdirectory: /s3/object/name/prefix
    usedualstack: false
    loglevel: debug
"""


def found(text: str, driver: str = "s3") -> S3Parameters:
    configuration = parse(HEAD + text)
    assert configuration.warnings == ()
    assert configuration.storage.driver == driver
    parameters = configuration.storage.s3_parameters
    assert parameters is not None
    return parameters


def short(options: str, driver: str = "s3") -> str:
    return f"{HEAD}  {driver}: {{bucket: b, region: eu-central-1, {options}}}\n"


@pytest.mark.parametrize("example", GUIDE)
def test_the_guides_examples(example: str) -> None:
    parameters = found(GUIDE[example].lstrip("\n"))
    assert parameters.bucket
    assert parameters.has_path_style == (bool(parameters.regionendpoint) and example != "vpc_endpoint")
    assert parameters.encrypt == (example == "encrypted")
    assert parameters.maxrequestspersecond == (100 if example == "rate" else 350)
    assert parameters.chunksize == (25_000_000 if example == "large_images" else 10 << 20)


def test_distributions_example() -> None:
    parameters = found(DISTRIBUTION.lstrip("\n"))
    assert (parameters.regionendpoint, parameters.has_path_style) == ("http://myobjects.local", True)
    assert (parameters.keyid, parameters.chunksize) == ("mykeyid", 5 << 20)
    assert parameters.identity == ("bucketname", "http://myobjects.local", "s3/object/name/prefix")


@pytest.mark.parametrize("driver", ["s3", "s3_v2", "s3aws"])
def test_every_name_of_the_driver_is_the_same_one(driver: str) -> None:
    parameters = found(short("maxretries: 3", driver).removeprefix(HEAD), driver)
    assert (parameters.section, parameters.maxretries) == (f"storage.{driver}", 3)
    assert parse(short("maxretries: 3", driver)).storage.identity == ("s3", "b", "", "")


def test_from_the_environment() -> None:
    environ = {
        "REGISTRY_STORAGE_S3_BUCKET": "from-the-environment",
        "REGISTRY_STORAGE_S3_PATHSTYLE": "false",
        "REGISTRY_STORAGE_S3_REGIONENDPOINT": "https://x.example.com",
    }
    parameters = parse(short("encrypt: true"), environ).storage.s3_parameters
    assert parameters is not None
    assert (parameters.bucket, parameters.encrypt) == ("from-the-environment", True)
    assert not parameters.has_path_style


@pytest.mark.parametrize(
    ("options", "path_style"),
    [
        ("secure: true", False),
        ("forcepathstyle: true", True),
        ("pathstyle: true", True),
        ("virtualhostedstyle: false", True),
        (MINIO, True),
        (f"{MINIO}, forcepathstyle: false", False),
        (f"{MINIO}, pathstyle: false", False),
        (f"{MINIO}, virtualhostedstyle: true", False),
        (f"{MINIO}, virtualhostedstyle: true, forcepathstyle: true", True),
    ],
)
def test_where_the_bucket_goes(options: str, path_style: bool) -> None:
    assert found(short(options).removeprefix(HEAD)).has_path_style is path_style


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [
        ("secure: true", "crc32"),
        ("checksum_algorithm: CRC64NVME", "crc32"),
        ("checksum_algorithm: SHA256", "sha256"),
        ("checksum_disabled: true", "md5"),
        ("requestchecksumcalculation: when_required", "md5"),
        ("requestchecksumcalculation: when_supported", "crc32"),
    ],
)
def test_checksums(options: str, algorithm: str) -> None:
    assert found(short(options).removeprefix(HEAD)).checksum == algorithm


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "bucket: 'registry/images'",
            "storage.s3.bucket is 'registry/images'; expected the name of a bucket: a bucket has no",
        ),
        ("bucket: '镜像'", "expected the name of a bucket: up to 255 letters, digits, dots, hyphens and underscores"),
        ("bucket: 'a b'", "storage.s3.bucket is 'a b'; expected the name of a bucket"),
        ("bucket: 's3://registry'", "storage.s3.bucket is 's3://registry'; expected the name of a bucket: not a URL"),
        (
            "region: us-east-1a",
            "storage.s3.region is 'us-east-1a', which is no region of Amazon; expected a region such",
        ),
        ("region: your-s3-region", "or the service's regionendpoint"),
        ("accesskey: AKIA", "storage.s3.secretkey is missing, but accesskey is there"),
        ("secretkey: x", "storage.s3.accesskey is missing, but secretkey is there"),
        ("sessiontoken: x", "storage.s3.sessiontoken belongs to a key"),
        ("v4auth: false", "storage.s3.v4auth is false: signatures of version 2 are not supported"),
        ("chunksize: 5242879", "storage.s3.chunksize is '5242879'; expected a whole number from 5242880"),
        ("storageclass: GLACIER", "storage.s3.storageclass is 'GLACIER'; expected one of NONE, STANDARD, "),
        ("objectacl: secret", "storage.s3.objectacl is 'secret'; expected one of private, "),
        ("objectacl: private, objectownership: true", "with objectownership no access lists are sent"),
        (
            "regionendpoint: 'ftp://x'",
            "storage.s3.regionendpoint is 'ftp://x'; expected the URL of a service: with http://",
        ),
        (
            "regionendpoint: 'https://x:port'",
            "storage.s3.regionendpoint is 'https://x:port'; expected the URL of a service",
        ),
        ("redirectendpoint: 'https://cdn.example.com/path'", "expected a URL: without a path"),
        ("redirectendpoint: cdn.example.com", "expected a URL: with http:// or https://"),
        ("loglevel: verbose", "storage.s3.loglevel is 'verbose'; expected some of off, debug, "),
        ("checksum_algorithm: md4", "storage.s3.checksum_algorithm is 'md4'; expected one of "),
        ("accelerate: true, pathstyle: true", "storage.s3.accelerate needs the bucket in the host name"),
    ],
)
def test_what_cannot_be_right_is_refused(options: str, said: str) -> None:
    text = short(options)
    if options.startswith("bucket"):
        text = text.replace("bucket: b, ", "")
    if options.startswith("region:"):
        text = text.replace("region: eu-central-1, ", "")
    assert any(said in line for line in errors(text)), errors(text)


@pytest.mark.parametrize("bucket", ["arn:aws:s3:eu-central-1:123456789012:accesspoint/images", "Images.example.com"])
def test_names_of_buckets(bucket: str) -> None:
    assert found(f"  s3: {{region: eu-central-1, bucket: '{bucket}'}}\n").bucket == bucket


@pytest.mark.parametrize(
    "region", ["us-gov-west-1", "cn-northwest-1", "eusc-de-east-1", "us-isob-east-1", "ap-southeast-7"]
)
def test_regions_of_amazon(region: str) -> None:
    assert found(f"  s3: {{bucket: b, region: {region}}}\n").region == region


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("keyid: k", "storage.s3.keyid has no effect without encrypt: true"),
        (f"{MINIO}, accelerate: true", "storage.s3.accelerate has no effect beside regionendpoint"),
        (f"{MINIO}, usedualstack: true", "storage.s3.usedualstack has no effect beside regionendpoint"),
        ("checksum_disabled: true, checksum_algorithm: sha1", "storage.s3.checksum_algorithm has no effect with"),
    ],
)
def test_what_has_no_effect_is_told(options: str, said: str) -> None:
    (warning,) = warnings(short(options))
    assert said in warning


@pytest.mark.parametrize("level", ["off", "debug", "debugWithRequestErrors", "logrequest,logretries", "LogOff"])
def test_levels_of_both_registries(level: str) -> None:
    assert found(short(f"loglevel: '{level}'").removeprefix(HEAD)).loglevel == level


def test_secrets_are_not_repeated() -> None:
    text = short("accesskey: AKIAKIAKI, secretkey: [a-secret]")
    assert not any("a-secret" in line or "AKIAKIAKI" in line for line in errors(text))
