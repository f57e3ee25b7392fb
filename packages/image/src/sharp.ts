import sharp from 'sharp';

// Imported where a picture is read or drawn with it: libvips takes 100 ms to load.

// libvips would remember decoded files by name and answer with the old pixels after a file has changed.
sharp.cache(false);

export { sharp };
