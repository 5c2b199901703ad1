// A frame on the GPU: picture, geometry, raster and composite of a batch of sessions.
//
// Every kernel takes one `Batch`; its grid's z says which session of it. Sessions of different
// persons stand side by side: whatever belongs to a person is reached through the session's `Shot`.
// The rules are those of `raster_kernels.py` and `warp_kernels.py`, in the same order of operations:
// compiled without fused multiply-adds, both give the same bits. Threads of a kernel share nothing
// but `atomicMax`, so the order in which they run does not matter.
//
// The structures are laid out by `layout.py`, which also defines the names in capitals.

typedef unsigned char u8;
typedef signed char i8;

struct Person {
    const float *mean;              // [V, 3], head space
    const float *basis;             // [C, V, 3]
    const int *triangles;           // [T, 3]: the face's, the upper teeth's, the lower teeth's
    const float *uv;                // [V, 2], pixels of the texture or of the vertex's chart
    const float *open_uv;           // [V, 2], pixels of the appearance
    const u8 *pictures[MESHES];     // I420, of each mesh
    const u8 *appearance_mean;      // [R, W], I420
    const i8 *appearance_basis;     // [C, R, W]
    const float *appearance_scale;  // [C]
    const int *lips;                // [L]
    const u8 *hidden;               // [S, S], 0 where the frame stays
    const u8 *feather;              // [S, S], share of the crop in 255ths
    const u8 *chroma_feather;       // [S/2, S/2]
    const float *depth;             // [R, C] of the head's grid, z in head space
    const float *follow;            // [R, C], 0 to 1
    const float *torso;             // [H/16 + 1, W/16 + 1], 0 to 1
    const float *poses;             // [F, 3, 4]
    const u8 *frames;               // [F, H*3/2, W], I420
    float eyes[2][5];               // x, y, z, half width, half height
    float place[3];                 // left, top, step of the head's grid
    float reach;                    // pixels at which the distance to the lips ends
    int vertices, components, contour;
    int faces[MESHES];              // triangles of each mesh
    int sizes[MESHES][2];           // height, width of each picture's luma
    int appearance[2];              // height, width of its luma
    int grid[2];                    // rows, columns of the head's grid
};

struct Shot {
    const Person *person;
    float pose[12];    // where the head is shown
    float breath;      // pixels that the torso is raised
    float eye_share;
    int frames[2];     // of the clip; the second is -1 where one is enough
    int share;         // of the second, in 256ths
    int eye_frame;     // whose eyes are laid over, or -1
    int eye_box[4];    // left, top, width, height of its piece, even
    int origin[2];     // left, top of the crop, even
    int coefficients;  // where they begin in Batch::coefficients
};

struct Batch {
    const Shot *shots;
    const float *coefficients;
    const float *phases;  // [PHASES + 1, 4], weights of a cubic
    float *field;         // [N, 2, H/16 + 1, W/16 + 1, 2], pixels
    float *vertices;      // [N, vertex_room, 3], pixels of the crop
    int *cover;           // [N, MESHES, S*S + S/2*S/2], the last triangle on each pixel, or -1
    u8 *looks;            // [N, looks_room], the appearance, I420
    float *planes;        // [N, PLANES, S/2, S/2]
    const u8 *y;          // [N, S, S], from the renderer
    const u8 *u;          // [N, S/2, S/2]
    const u8 *v;          // [N, S/2, S/2]
    u8 *frames;           // [N, H*3/2, W], I420
    int width, height, size, field_rows, field_columns, vertex_room, looks_room;
};

static_assert(sizeof(Person) == PERSON_BYTES, "layout.py has another Person");
static_assert(sizeof(Shot) == SHOT_BYTES, "layout.py has another Shot");
static_assert(sizeof(Batch) == BATCH_BYTES, "layout.py has another Batch");

// ---------------------------------------------------------------- small things

// Values that are not finite end at the lower bound: nothing leaves its array, whatever comes in.
static __device__ float clamped(float value, float low, float high) {
    return fminf(fmaxf(value, low), high);
}

static __device__ int clamped_int(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

static __device__ u8 level(float value) { return (u8)(int)clamped(value, 0.0f, 255.0f); }

// Planes of an I420 picture, by its luma's size: 0 for Y, 1 for U, 2 for V.
static __device__ long long plane_start(int plane, int height, int width) {
    long long luma = (long long)height * width;
    return plane == 0 ? 0 : plane == 1 ? luma : luma + luma / 4;
}

// ---------------------------------------------------------------- the frame behind the mouth

static __device__ float lookup(const float *grid, int rows, int columns, float x, float y) {
    x = clamped(x, 0.0f, (float)(columns - 1));
    y = clamped(y, 0.0f, (float)(rows - 1));
    int column = clamped_int((int)x, 0, columns - 2), row = clamped_int((int)y, 0, rows - 2);
    float fx = x - (float)column, fy = y - (float)row;
    const float *at = grid + row * columns + column;
    float top = at[0] + (at[1] - at[0]) * fx;
    float bottom = at[columns] + (at[columns + 1] - at[columns]) * fx;
    return top + (bottom - top) * fy;
}

// The field that carries the head from a frame's pose to the one that is wanted.
// Grid: points / 128, frames of the clip (2), sessions.
extern "C" __global__ void head_field(const Batch *batch) {
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    int slot = blockIdx.y, points = batch->field_rows * batch->field_columns;
    int point = blockIdx.x * blockDim.x + threadIdx.x;
    if (point >= points || shot->frames[slot] < 0) return;
    int row = point / batch->field_columns, column = point % batch->field_columns;
    const float *source = person->poses + 12 * (long long)shot->frames[slot];
    const float *wanted = shot->pose;
    float a = wanted[0], b = wanted[1], c = wanted[4], d = wanted[5];
    float scale = 1.0f / (a * d - b * c);
    float left = person->place[0], top = person->place[1], step = 1.0f / person->place[2];
    int rows = person->grid[0], columns = person->grid[1];
    float x = (float)(column * CELL), y = (float)(row * CELL);
    float rx = x - wanted[3], ry = y - wanted[7];
    float z = 0.0f, hx = 0.0f, hy = 0.0f;
    // Which point of the head is seen there depends a little on how deep it lies.
    for (int round = 0; round < 3; ++round) {
        float px = rx - wanted[2] * z, py = ry - wanted[6] * z;
        hx = (d * px - b * py) * scale;
        hy = (a * py - c * px) * scale;
        z = lookup(person->depth, rows, columns, (hx - left) * step, (hy - top) * step);
    }
    float share = lookup(person->follow, rows, columns, (hx - left) * step, (hy - top) * step);
    float sx = source[0] * hx + source[1] * hy + source[2] * z + source[3];
    float sy = source[4] * hx + source[5] * hy + source[6] * z + source[7];
    float wx = a * hx + b * hy + wanted[2] * z + wanted[3];
    float wy = c * hx + d * hy + wanted[6] * z + wanted[7];
    float *out = batch->field + 2 * ((2 * (long long)blockIdx.z + slot) * points + point);
    out[0] = share * (sx - wx);
    out[1] = share * (sy - wy) + ((1.0f - share) * person->torso[point] * shot->breath);
}

// Catmull-Rom weights of four neighbours.
static __device__ void cubic_weights(float t, float *w) {
    w[0] = 0.5f * t * (t * (2.0f - t) - 1.0f);
    w[1] = 0.5f * (t * t * (3.0f * t - 5.0f) + 2.0f);
    w[3] = 0.5f * t * t * (t - 1.0f);
    w[2] = 1.0f - w[0] - w[1] - w[3];
}

// One pixel of a plane, from where the field says that it comes from.
static __device__ u8 moved(const u8 *plane, int height, int width, int row, int column, int unit,
                           const float *field, int field_columns) {
    const float far = (float)FARTHEST;
    int cell = CELL / unit, r = row / cell, c = column / cell;
    const float *upper = field + 2 * (r * field_columns + c);
    const float *lower = upper + 2 * field_columns;
    float moves = 0.0f;
    for (int k = 0; k < 4; ++k) {
        moves = fmaxf(moves, fabsf(upper[k]));
        moves = fmaxf(moves, fabsf(lower[k]));
    }
    if (!(moves > STILL)) return plane[row * width + column];
    float scale = 1.0f / (float)unit, step = 1.0f / (float)cell;
    float down = ((float)(row - r * cell) + 0.5f) * step;
    float q = (float)(column - c * cell) + 0.5f;
    int whole[2];
    float weights[2][4];
    for (int k = 0; k < 2; ++k) {
        float here = (upper[k] + (lower[k] - upper[k]) * down) * scale;
        float right = upper[2 + k] + (lower[2 + k] - upper[2 + k]) * down;
        float grows = (right * scale - here) * step;
        float at = clamped(here + grows * q, -far, far);
        whole[k] = (int)(at + far) - FARTHEST;
        cubic_weights(at - (float)whole[k], weights[k]);
    }
    float value = 0.0f;
    for (int j = 0; j < 4; ++j) {
        const u8 *line = plane + width * clamped_int(row + whole[1] + j - 1, 0, height - 1);
        int first = column + whole[0] - 1;
        float sum = weights[0][0] * (float)line[clamped_int(first, 0, width - 1)] +
                    weights[0][1] * (float)line[clamped_int(first + 1, 0, width - 1)];
        sum += weights[0][2] * (float)line[clamped_int(first + 2, 0, width - 1)] +
               weights[0][3] * (float)line[clamped_int(first + 3, 0, width - 1)];
        value += weights[1][j] * sum;
    }
    return level(value + 0.5f);
}

// A cubic between pixels of a piece of a plane; the piece's border goes on.
static __device__ float cubic(const u8 *piece, int stride, int height, int width,
                              const float *phases, float x, float y) {
    x = clamped(x, 0.0f, (float)(width - 1));
    y = clamped(y, 0.0f, (float)(height - 1));
    int column = (int)x, row = (int)y;
    const float *across = phases + 4 * (int)((x - (float)column) * (float)PHASES + 0.5f);
    const float *down = phases + 4 * (int)((y - (float)row) * (float)PHASES + 0.5f);
    float total = 0.0f;
    for (int k = 0; k < 4; ++k) {
        const u8 *line = piece + stride * clamped_int(row + k - 1, 0, height - 1);
        total += down[k] * (across[0] * (float)line[column > 0 ? column - 1 : 0] +
                            across[1] * (float)line[column] +
                            across[2] * (float)line[clamped_int(column + 1, 0, width - 1)] +
                            across[3] * (float)line[clamped_int(column + 2, 0, width - 1)]);
    }
    return total;
}

// Lay an eye of another frame over one pixel, feathered to the border of its ellipse.
static __device__ u8 with_eye(u8 old, const Shot *shot, const float *eye, const u8 *plane, int height,
                              int width, int row, int column, int unit, const float *phases) {
    const float *wanted = shot->pose;
    const float *source = shot->person->poses + 12 * (long long)shot->eye_frame;
    float scale = 1.0f / (float)unit;
    float a = wanted[0], b = wanted[1], c = wanted[4], d = wanted[5];
    float inverse = 1.0f / (a * d - b * c);
    float z = eye[2];
    float ox = wanted[2] * z + wanted[3], oy = wanted[6] * z + wanted[7];
    float qx = source[2] * z + source[3], qy = source[6] * z + source[7];
    float mx = a * eye[0] + b * eye[1] + ox, my = c * eye[0] + d * eye[1] + oy;
    float reach = sqrtf(a * a + c * c) * fmaxf(eye[3], eye[4]) * 1.1f;
    if ((float)row < truncf((my - reach) * scale) || (float)column < truncf((mx - reach) * scale) ||
        (float)row >= truncf((my + reach) * scale) + 2.0f ||
        (float)column >= truncf((mx + reach) * scale) + 2.0f)
        return old;
    float px = ((float)column + 0.5f) * (float)unit - ox;
    float py = ((float)row + 0.5f) * (float)unit - oy;
    float hx = (d * px - b * py) * inverse, hy = (a * py - c * px) * inverse;
    float ex = (hx - eye[0]) / eye[3], ey = (hy - eye[1]) / eye[4];
    float radius = sqrtf(ex * ex + ey * ey);
    if (!(radius < 1.0f)) return old;
    float edge = fminf((1.0f - radius) * 2.2f, 1.0f);
    float alpha = shot->eye_share * edge * edge * (3.0f - 2.0f * edge);
    float sx = source[0] * hx + source[1] * hy + qx - (float)shot->eye_box[0];
    float sy = source[4] * hx + source[5] * hy + qy - (float)shot->eye_box[1];
    const u8 *piece = plane + (long long)(shot->eye_box[1] / unit) * width + shot->eye_box[0] / unit;
    float fresh = cubic(piece, width, shot->eye_box[3] / unit, shot->eye_box[2] / unit, phases,
                        sx * scale - 0.5f, sy * scale - 0.5f);
    return level((float)old + alpha * (fresh - (float)old) + 0.5f);
}

// The person's frame: one or two of the clip carried to the pose and mixed, eyes laid over.
// Grid: width / 32, height * 3/2 / 8, sessions.
extern "C" __global__ void warp_picture(const Batch *batch) {
    int across = blockIdx.x * blockDim.x + threadIdx.x, down = blockIdx.y * blockDim.y + threadIdx.y;
    int whole_width = batch->width, whole_height = batch->height;
    if (across >= whole_width || down >= whole_height + whole_height / 2) return;
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    long long bytes = plane_start(2, whole_height, whole_width) + (long long)whole_height * whole_width / 4;
    int plane = 0, row = down, column = across, height = whole_height, width = whole_width, unit = 1;
    if (down >= whole_height) {
        // Two rows of chroma stand in one row of the picture.
        long long index = (long long)(down - whole_height) * whole_width + across;
        long long quarter = (long long)whole_height * whole_width / 4;
        plane = index < quarter ? 1 : 2;
        index -= plane == 1 ? 0 : quarter;
        height = whole_height / 2;
        width = whole_width / 2;
        unit = 2;
        row = (int)(index / width);
        column = (int)(index % width);
    }
    long long start = plane_start(plane, whole_height, whole_width);
    int points = batch->field_rows * batch->field_columns;
    const float *field = batch->field + 4 * (long long)blockIdx.z * points;
    int value = moved(person->frames + bytes * shot->frames[0] + start, height, width, row, column,
                      unit, field, batch->field_columns);
    if (shot->frames[1] >= 0) {
        int other = moved(person->frames + bytes * shot->frames[1] + start, height, width, row,
                          column, unit, field + 2 * points, batch->field_columns);
        value = (value * (256 - shot->share) + other * shot->share + 128) >> 8;
    }
    if (shot->eye_frame >= 0)
        for (int k = 0; k < 2; ++k)
            value = with_eye((u8)value, shot, person->eyes[k],
                             person->frames + bytes * shot->eye_frame + start, height, width, row,
                             column, unit, batch->phases);
    batch->frames[bytes * blockIdx.z + (long long)down * whole_width + across] = (u8)value;
}

// ---------------------------------------------------------------- geometry

// Grid: vertices / 128, 1, sessions.
extern "C" __global__ void place_vertices(const Batch *batch) {
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    int vertex = blockIdx.x * blockDim.x + threadIdx.x;
    if (vertex >= person->vertices) return;
    const float *weights = batch->coefficients + shot->coefficients;
    float point[3];
    for (int k = 0; k < 3; ++k) {
        float sum = 0.0f;
        for (int c = 0; c < person->components; ++c)
            sum += weights[c] * person->basis[((long long)c * person->vertices + vertex) * 3 + k];
        point[k] = sum + person->mean[3 * vertex + k];
    }
    float *out = batch->vertices + ((long long)blockIdx.z * batch->vertex_room + vertex) * 3;
    for (int k = 0; k < 3; ++k) {
        const float *row = shot->pose + 4 * k;
        float shift = k < 2 ? row[3] - (float)shot->origin[k] : row[3];
        out[k] = point[0] * row[0] + point[1] * row[1] + point[2] * row[2] + shift;
    }
}

// ---------------------------------------------------------------- raster

// The appearance model: the mean and so much of each component, to the nearest level.
// Grid: bytes / 256, 1, sessions.
extern "C" __global__ void mix_looks(const Batch *batch) {
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    int bytes = person->appearance[0] * person->appearance[1] * 3 / 2;
    if (at >= bytes) return;
    const float *weights = batch->coefficients + shot->coefficients;
    float value = (float)person->appearance_mean[at] + 0.5f;
    for (int c = 0; c < person->components; ++c) {
        float weight = weights[c] * person->appearance_scale[c];
        value += weight * (float)person->appearance_basis[(long long)c * bytes + at];
    }
    batch->looks[(long long)blockIdx.z * batch->looks_room + at] = level(value);
}

// A triangle: its box of pixels and its edges, a x + b y + c from 0 to 1 inside.
struct Triangle {
    int left, right, top, bottom;
    float edges[3][3];
};

// Of corners times `scale`, on a target of so many pixels. False where there is nothing to draw.
static __device__ bool prepare(const float *vertices, const int *corners, float scale, int size,
                               Triangle *out) {
    float xs[3], ys[3];
    for (int i = 0; i < 3; ++i) {
        xs[i] = vertices[3 * corners[i]] * scale;
        ys[i] = vertices[3 * corners[i] + 1] * scale;
    }
    float area = (xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0]);
    if (!(fabsf(area) >= 1e-6f)) return false;
    float far = (float)size;
    out->left = (int)clamped(ceilf(fminf(fminf(xs[0], xs[1]), xs[2]) - 0.5f), 0.0f, far);
    out->right = (int)clamped(floorf(fmaxf(fmaxf(xs[0], xs[1]), xs[2]) - 0.5f) + 1.0f, 0.0f, far);
    out->top = (int)clamped(ceilf(fminf(fminf(ys[0], ys[1]), ys[2]) - 0.5f), 0.0f, far);
    out->bottom = (int)clamped(floorf(fmaxf(fmaxf(ys[0], ys[1]), ys[2]) - 0.5f) + 1.0f, 0.0f, far);
    if (out->left >= out->right || out->top >= out->bottom) return false;
    for (int i = 0; i < 3; ++i) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        out->edges[i][0] = (ys[j] - ys[k]) / area;
        out->edges[i][1] = (xs[k] - xs[j]) / area;
        out->edges[i][2] = (xs[j] * ys[k] - xs[k] * ys[j]) / area;
    }
    return true;
}

// Luma and chroma of the planes have their own targets: S x S, and S/2 x S/2 behind it.
static __device__ int *cover_of(const Batch *batch, int session, int mesh, bool chroma) {
    int half = batch->size / 2, luma = batch->size * batch->size;
    long long each = luma + half * half;
    return batch->cover + (MESHES * (long long)session + mesh) * each + (chroma ? luma : 0);
}

// Grid: pixels of all targets / 256, 1, sessions.
extern "C" __global__ void clear_cover(const Batch *batch) {
    int half = batch->size / 2, each = MESHES * (batch->size * batch->size + half * half);
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < each) batch->cover[(long long)blockIdx.z * each + at] = -1;
}

// Mark each pixel with the last triangle on it; the farthest come first.
// Grid: triangles of all meshes, luma and chroma (2), sessions. A block is one triangle.
extern "C" __global__ void cover_pixels(const Batch *batch) {
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    int mesh = 0, index = blockIdx.x;
    while (mesh < MESHES && index >= person->faces[mesh]) index -= person->faces[mesh++];
    if (mesh == MESHES) return;
    bool chroma = blockIdx.y == 1;
    int size = chroma ? batch->size / 2 : batch->size;
    const float *vertices = batch->vertices + (long long)blockIdx.z * batch->vertex_room * 3;
    Triangle triangle;
    if (!prepare(vertices, person->triangles + 3 * blockIdx.x, chroma ? 0.5f : 1.0f, size, &triangle))
        return;
    const float(*edges)[3] = triangle.edges;
    int *cover = cover_of(batch, blockIdx.z, mesh, chroma);
    int wide = triangle.right - triangle.left, count = wide * (triangle.bottom - triangle.top);
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        int row = triangle.top + at / wide, column = triangle.left + at % wide;
        float x = (float)column + 0.5f, y = (float)row + 0.5f;
        bool inside = true;
        for (int i = 0; i < 3; ++i) {
            float value = chroma ? edges[i][0] * x + edges[i][1] * y + edges[i][2]
                                 : edges[i][1] * y + edges[i][2] + edges[i][0] * x;
            inside = inside && !(value < 0.0f);
        }
        if (inside) atomicMax(cover + row * size + column, index);
    }
}

// Between pixels, the edge's own value outside; -1 to 1 with 0 for 128.
static __device__ float sample(const u8 *plane, int height, int width, float x, float y) {
    x = clamped(x - 0.5f, 0.0f, (float)(width - 1));
    y = clamped(y - 0.5f, 0.0f, (float)(height - 1));
    int column = (int)x, row = (int)y;
    int right = clamped_int(column + 1, 0, width - 1), below = clamped_int(row + 1, 0, height - 1);
    float fx = x - (float)column, fy = y - (float)row;
    const u8 *upper = plane + row * width, *lower = plane + below * width;
    float top = (float)upper[column] * (1.0f - fx) + (float)upper[right] * fx;
    float bottom = (float)lower[column] * (1.0f - fx) + (float)lower[right] * fx;
    return (top + (bottom - top) * fy - 128.0f) * 0.0078125f;
}

// Where in a picture a pixel of a triangle lies.
static __device__ void locate(const Triangle *triangle, const int *corners, const float *uv,
                              float scale, float x, float y, bool chroma, float *out) {
    for (int k = 0; k < 2; ++k) {
        float plane[3];
        for (int n = 0; n < 3; ++n)
            plane[n] = triangle->edges[0][n] * (uv[2 * corners[0] + k] * scale) +
                       triangle->edges[1][n] * (uv[2 * corners[1] + k] * scale) +
                       triangle->edges[2][n] * (uv[2 * corners[2] + k] * scale);
        out[k] = chroma ? plane[0] * x + plane[1] * y + plane[2]
                        : plane[1] * y + plane[2] + plane[0] * x;
    }
}

// The signed distance of a point to the contour of the lips over `reach`, positive inside.
static __device__ float lip_distance(const Person *person, const float *vertices, float x, float y) {
    float reach = person->reach, nearest = reach * reach;
    bool inside = false;
    for (int i = 0; i < person->contour; ++i) {
        const float *from = vertices + 3 * person->lips[i];
        const float *to = vertices + 3 * person->lips[i + 1 < person->contour ? i + 1 : 0];
        float ax = from[0], ay = from[1];
        float dx = to[0] - ax, dy = to[1] - ay, px = x - ax, py = y - ay;
        float length = dx * dx + dy * dy + 1e-12f;
        float along = clamped((px * dx + py * dy) / length, 0.0f, 1.0f);
        float qx = px - along * dx, qy = py - along * dy;
        nearest = fminf(nearest, qx * qx + qy * qy);
        // Even-odd rule: a ray to the right crosses the contour an odd number of times.
        if ((ay > y) != (ay + dy > y) && x < ax + (y - ay) * dx / dy) inside = !inside;
    }
    float value = sqrtf(nearest) / reach;
    return inside ? value : -value;
}

// The renderer's input, see `planes.py`: one thread draws all planes of one place.
// Grid: S/2 / 32, S/2 / 4, sessions.
extern "C" __global__ void draw_planes(const Batch *batch) {
    int size = batch->size, half = size / 2;
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= half || row >= half) return;
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    const float *vertices = batch->vertices + (long long)blockIdx.z * batch->vertex_room * 3;
    const u8 *looks = batch->looks + (long long)blockIdx.z * batch->looks_room;
    long long pixels = (long long)half * half;
    float *out = batch->planes + PLANES * pixels * blockIdx.z + row * half + column;
    float where[3] = {0.0f, 0.0f, 0.0f};
    const int *triangles = person->triangles;
    int appearance_height = person->appearance[0], appearance_width = person->appearance[1];

    for (int mesh = 0; mesh < MESHES; ++mesh) {
        int height = person->sizes[mesh][0], width = person->sizes[mesh][1];
        const u8 *picture = person->pictures[mesh];
        float drawn[6] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        float looking[6] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        float uv[2];
        Triangle triangle;
        for (int k = 0; k < 4; ++k) {
            int r = 2 * row + k / 2, c = 2 * column + k % 2;
            int index = cover_of(batch, blockIdx.z, mesh, false)[r * size + c];
            if (index < 0) continue;
            const int *corners = triangles + 3 * index;
            float x = (float)c + 0.5f, y = (float)r + 0.5f;
            prepare(vertices, corners, 1.0f, size, &triangle);
            locate(&triangle, corners, person->uv, 1.0f, x, y, false, uv);
            drawn[k] = sample(picture, height, width, uv[0], uv[1]);
            if (mesh == 0) {
                locate(&triangle, corners, person->open_uv, 1.0f, x, y, false, uv);
                looking[k] = sample(looks, appearance_height, appearance_width, uv[0], uv[1]);
            }
        }
        int index = cover_of(batch, blockIdx.z, mesh, true)[row * half + column];
        if (index >= 0) {
            const int *corners = triangles + 3 * index;
            float x = (float)column + 0.5f, y = (float)row + 0.5f;
            prepare(vertices, corners, 0.5f, half, &triangle);
            locate(&triangle, corners, person->uv, 0.5f, x, y, true, uv);
            for (int plane = 1; plane < 3; ++plane)
                drawn[3 + plane] = sample(picture + plane_start(plane, height, width), height / 2,
                                          width / 2, uv[0], uv[1]);
            if (mesh == 0) {
                // Only the face itself says where on it a pixel lies.
                where[0] = 2.0f * uv[0] / (float)(width / 2) - 1.0f;
                where[1] = 2.0f * uv[1] / (float)(height / 2) - 1.0f;
                where[2] = 1.0f;
                locate(&triangle, corners, person->open_uv, 0.5f, x, y, true, uv);
                for (int plane = 1; plane < 3; ++plane)
                    looking[3 + plane] =
                        sample(looks + plane_start(plane, appearance_height, appearance_width),
                               appearance_height / 2, appearance_width / 2, uv[0], uv[1]);
            }
        }
        for (int k = 0; k < 6; ++k) out[(6 * mesh + k) * pixels] = drawn[k];
        if (mesh == 0)
            for (int k = 0; k < 6; ++k) out[(32 + k) * pixels] = looking[k];
        triangles += 3 * person->faces[mesh];
    }
    for (int k = 0; k < 3; ++k) out[(29 + k) * pixels] = where[k];

    // The frame where it stays: a 2x2 block that the mask touches is hidden.
    const u8 *hidden = person->hidden + 2 * row * size + 2 * column;
    bool covered = hidden[0] || hidden[1] || hidden[size] || hidden[size + 1];
    int stride = batch->width, chroma_stride = stride / 2;
    long long luma = (long long)batch->height * stride;
    const u8 *frame = batch->frames + (luma + luma / 2) * blockIdx.z;
    const u8 *y_plane = frame + (long long)(shot->origin[1] + 2 * row) * stride + shot->origin[0] + 2 * column;
    const u8 *u_plane = frame + luma + (long long)(shot->origin[1] / 2 + row) * chroma_stride +
                        shot->origin[0] / 2 + column;
    const u8 *v_plane = u_plane + luma / 4;
    u8 seen[6] = {y_plane[0], y_plane[1], y_plane[stride], y_plane[stride + 1], *u_plane, *v_plane};
    for (int k = 0; k < 6; ++k)
        out[(18 + k) * pixels] = covered ? 0.0f : ((float)seen[k] - 128.0f) * 0.0078125f;
    out[24 * pixels] = covered ? 1.0f : 0.0f;

    // The lips: -1 beyond a box around them.
    float reach = person->reach, far = (float)size;
    float low[2] = {3e38f, 3e38f}, high[2] = {-3e38f, -3e38f};
    for (int i = 0; i < person->contour; ++i)
        for (int k = 0; k < 2; ++k) {
            float value = vertices[3 * person->lips[i] + k];
            low[k] = fminf(low[k], value);
            high[k] = fmaxf(high[k], value);
        }
    int left = (int)clamped(low[0] - reach, 0.0f, far), top = (int)clamped(low[1] - reach, 0.0f, far);
    int right = (int)clamped(truncf(high[0] + reach) + 2.0f, 0.0f, far);
    int bottom = (int)clamped(truncf(high[1] + reach) + 2.0f, 0.0f, far);
    for (int k = 0; k < 4; ++k) {
        int r = 2 * row + k / 2, c = 2 * column + k % 2;
        float value = -1.0f;
        if (r >= top && r < bottom && c >= left && c < right)
            value = lip_distance(person, vertices, (float)c + 0.5f, (float)r + 0.5f);
        out[(25 + k) * pixels] = value;
    }
}

// ---------------------------------------------------------------- composite

static __device__ void blend(u8 *target, int share, int fresh) {
    if (share) *target = (u8)((share * fresh + (255 - share) * (int)*target + 127) / 255);
}

// Blend the renderer's crop into the frame. Grid: S / 32, S / 8, sessions.
extern "C" __global__ void paste_crop(const Batch *batch) {
    int size = batch->size, half = size / 2;
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= size || row >= size) return;
    const Shot *shot = batch->shots + blockIdx.z;
    const Person *person = shot->person;
    int stride = batch->width, left = shot->origin[0], top = shot->origin[1];
    long long luma = (long long)batch->height * stride;
    u8 *frame = batch->frames + (luma + luma / 2) * blockIdx.z;
    long long pixel = (long long)row * size + column;
    blend(frame + (long long)(top + row) * stride + left + column, person->feather[pixel],
          batch->y[(long long)size * size * blockIdx.z + pixel]);
    if (row >= half || column >= half) return;
    pixel = (long long)row * half + column;
    int share = person->chroma_feather[pixel];
    long long from = (long long)half * half * blockIdx.z + pixel;
    u8 *chroma = frame + luma + (long long)(top / 2 + row) * (stride / 2) + left / 2 + column;
    blend(chroma, share, batch->u[from]);
    blend(chroma + luma / 4, share, batch->v[from]);
}
