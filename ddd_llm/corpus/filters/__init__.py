"""Quality filters: what a document is asked, one rule one class, and the policy that names which rules apply."""
