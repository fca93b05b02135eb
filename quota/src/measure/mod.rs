//! What one object counts as: the resource names and amounts of Kubernetes' ResourceQuota.
