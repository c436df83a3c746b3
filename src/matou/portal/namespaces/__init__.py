"""Groups, projects and their members: what belongs where, and who may do what there."""
