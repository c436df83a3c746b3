"""GitLab's side: users, groups, projects, and what they may do. A Django project."""
