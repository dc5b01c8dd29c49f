"""Tests of the containers; they need Docker and port 80: make docker-test."""
