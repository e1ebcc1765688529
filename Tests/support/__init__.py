"""What the black-box tests share: programs, certificates, state files, nodes and pods as network namespaces."""
