#!/bin/sh
# A job of a CI system that is not GitLab's, with a token that lives as long as the job.
#
# Shows: job tokens. The CI system holds an access token (scope api) of a developer and makes the job's own token from it
# when the job begins. The job logs in as gitlab-ci-token; it may pull and push in its own project, and nothing else.
#
#     PORTAL=http://127.0.0.1:8080 REGISTRY=127.0.0.1:5000 PROJECT=team/app TOKEN=... IMAGE=oci:build:latest ./ci-job.sh
set -eu

tokens="$PORTAL/api/v4/projects/$(printf %s "$PROJECT" | sed 's|/|%2F|g')/job_tokens"
job_token=$(
    curl --silent --show-error --fail --header "PRIVATE-TOKEN: $TOKEN" --data expires_in=3600 "$tokens" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])'
)
# Whatever becomes of the job, its token ends with it.
trap 'curl --silent --show-error --fail --request DELETE --header "JOB-TOKEN: $job_token" "$tokens/self"' EXIT

# Without TLS for this example; leave the option out with https.
printf %s "$job_token" |
    skopeo login --tls-verify=false --username gitlab-ci-token --password-stdin "$REGISTRY" >/dev/null
skopeo copy --all --dest-tls-verify=false "$IMAGE" "docker://$REGISTRY/$PROJECT:${TAG:-latest}"
skopeo logout "$REGISTRY" >/dev/null
