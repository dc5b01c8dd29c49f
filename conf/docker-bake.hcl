# Builds both images for two platforms, and pushes them: VERSION=1.0.0 docker buildx bake -f conf/docker-bake.hcl --push
# REGISTRY=registry.example/ is put before the names of the images.

variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "" }
variable "REGISTRY" { default = "" }

group "default" { targets = ["api", "nginx"] }

target "common" {
  context = "."
  platforms = ["linux/amd64", "linux/arm64"]
  args = {
    VERSION = VERSION
    REVISION = REVISION
  }
}

target "api" {
  inherits = ["common"]
  dockerfile = "Dockerfile.api"
  tags = ["${REGISTRY}serving-api:${VERSION}"]
}

target "nginx" {
  inherits = ["common"]
  dockerfile = "Dockerfile.nginx"
  tags = ["${REGISTRY}serving-nginx:${VERSION}"]
}
