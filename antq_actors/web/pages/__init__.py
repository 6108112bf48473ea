"""The routes of the dashboard, a module for each group of pages."""
