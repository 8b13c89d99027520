"""Data versions with DVC: which bytes a run was made from, and how to get them back."""
