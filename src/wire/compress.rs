//! LZ4 blocks with exact, bounded sizes.
