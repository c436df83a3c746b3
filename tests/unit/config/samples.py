"""Configurations in the manner of the three programs' packages and documents."""

from __future__ import annotations

SMALL = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /srv/images
  tag:
    concurrencylimit: 8
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/images/passwords
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""

# What Omnibus GitLab writes for a registry with its defaults, and notifications, middleware and the rest left out.
OMNIBUS = """\
version: 0.1
log:
  level: info
  formatter: text
  fields:
    service: registry
    environment: production
storage: {"filesystem":{"rootdirectory":"/var/opt/gitlab/gitlab-rails/shared/registry"},"cache":{"blobdescriptor":"inmemory"},"delete":{"enabled":true}}
http:
  addr: 127.0.0.1:5000
  secret: "6b0d7b0c"
  headers:
    X-Content-Type-Options: [nosniff]
  draintimeout: 0
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
auth:
  token:
    realm: https://gitlab.example.com/jwt/auth
    service: container_registry
    issuer: omnibus-gitlab-issuer
    rootcertbundle: /var/opt/gitlab/registry/gitlab-registry.crt
    autoredirect: false
validation:
  disabled: true
compatibility:
  schema1:
    enabled: false
database:
  enabled: "prefer"
  host: ""
  port: 5432
  user: registry
  password: ""
  dbname: registry
  sslmode: prefer
redis:
  loadbalancing:
    enabled: false
  cache:
    enabled: false
"""  # noqa: E501 -- the package writes JSON in one line

# A development configuration of Distribution: notifications and a mirror switched off.
DEVELOPMENT = """\
version: 0.1
log:
  level: debug
  accesslog:
    disabled: true
  hooks:
    - type: mail
      disabled: true
      levels: [panic]
      options:
        smtp: {addr: 'mail.example.com:25', username: u, password: p, insecure: true}
        from: registry@example.com
        to: [admin@example.com]
storage:
    delete:
      enabled: true
    cache:
        blobdescriptor: inmemory
        blobdescriptorsize: 10000
    filesystem:
        rootdirectory: /srv/images
        maxthreads: 100
    redirect: {disable: true}
    maintenance:
        uploadpurging:
            enabled: false
        readonly: {enabled: false}
catalog: {maxentries: 500}
tags: {maxtags: 700}
http:
    addr: localhost:5000
    net: tcp
    prefix: /registry/
    host: https://images.example.com
    relativeurls: true
    draintimeout: 60s
    debug:
        addr: localhost:5001
        prometheus: {enabled: true, path: /metrics}
    http2: {disabled: true}
    h2c: {enabled: false}
notifications:
  events: {includereferences: true}
  endpoints:
    - name: local
      disabled: true
      url: http://localhost:5003/callback
      headers: {Authorization: [Bearer x]}
      timeout: 1s
      threshold: 10
      backoff: 1s
      ignoredmediatypes: [application/octet-stream]
      ignore: {mediatypes: [application/octet-stream], actions: [pull]}
health:
  file: [{file: /run/images.down, interval: 10s}]
  http: [{uri: 'http://localhost:8000/', headers: {A: [b]}, statuscode: 200, timeout: 3s, interval: 10s, threshold: 3}]
  tcp: [{addr: 'localhost:6379', timeout: 3s, interval: 10s, threshold: 3}]
validation:
  manifests:
    urls: {allow: ['^https://example\\.com/'], deny: ['^https://example\\.com/private/']}
    indexes: {platforms: List, platformlist: [{architecture: amd64, os: linux}]}
proxy: {ttl: 168h}
policy: {repository: {classes: []}}
"""

# Everything that can be asked for and is not there.
REFUSED = """\
version: 0.1
storage:
  s3:
    region: eu-west-1
    bucket: images
  cache:
    blobdescriptor: redis
middleware:
  storage:
    - name: cloudfront
      options: {baseurl: 'https://x.example.com/', privatekey: /k.pem, keypairid: id, duration: 3000s}
redis:
  addrs: [localhost:6379]
  maxidleconns: 16
  poolsize: 64
  connmaxidletime: 300s
  dialtimeout: 10ms
notifications:
  endpoints:
    - name: hook
      url: https://hook.example.com/
proxy:
  remoteurl: https://registry-1.docker.io
compatibility:
  schema1:
    enabled: true
reporting:
  bugsnag: {apikey: key}
"""
