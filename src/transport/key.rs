//! cluster.key: the CA, leaf certificates, cluster id.
