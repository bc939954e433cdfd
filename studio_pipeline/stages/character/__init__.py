"""Stage `character`: a file of the asset library becomes one mesh in metres, one texture, and its own rig."""
