// Package check holds what deploy has against the rules of those who read it: Compose's own loader, the types of Kubernetes,
// kustomize, and the reader of NATS. It is a module of its own, so that the poller does not depend on them. It has nothing but
// tests: make deploy-check runs them, and so does make test.
package check
