// JPEG through libjpeg-turbo: of an image only the rows and columns that are asked for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.h"

namespace conquer {

// The size of the image after its EXIF orientation, from the header; false for what decode_jpeg does not take.
bool jpeg_size(const uint8_t* bytes, size_t length, double pixel_limit, int& width, int& height);

enum class Decoded { yes, no, cut_short };

// Decodes what is asked into out_height×out_width×3 bytes of RGB. `no` for everything that is not a sound JPEG in grey,
// YCbCr or RGB of at most `pixel_limit` pixels, without a colour profile other than sRGB: whoever called may ask another
// decoder for the picture or for the reason. Warnings count as unsound. `cut_short`: the end of the image is not marked.
Decoded decode_jpeg(const uint8_t* bytes, size_t length, double pixel_limit, const Request& request, Workspace& space,
                    uint8_t* out);

}  // namespace conquer
