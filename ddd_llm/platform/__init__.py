"""What stages share: settings, inputs people edit, the asset decorator, tracking, cluster, report pages. Knows no stage."""
